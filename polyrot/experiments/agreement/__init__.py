"""Language models before a verb: is subject-verb agreement one axis?"""
