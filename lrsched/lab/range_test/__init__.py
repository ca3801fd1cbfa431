"""The learning-rate range test: train a little at rising rates, and see where the loss falls and where it diverges."""
