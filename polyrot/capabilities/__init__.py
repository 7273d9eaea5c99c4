"""What a claim may request of any suite: activations, pairs, autoencoders, steering, cores."""
