"""Claims, bars, controls, and the rule that turns their estimates into a verdict."""
