"""Language models before a verb: is subject-verb agreement carried by one axis?"""
