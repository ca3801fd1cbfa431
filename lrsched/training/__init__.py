"""Schedules inside optimizers: optax transforms, their states and checkpoints."""
