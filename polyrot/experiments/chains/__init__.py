"""Encoders that predict a Markov chain."""
