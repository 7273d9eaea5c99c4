"""Transformers that classify bounded-depth Dyck-3: the models of "Polymorphism Is Rotation"."""
