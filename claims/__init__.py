"""Published claims, one folder a paper and one module a claim: `pytest claims/` judges them."""
