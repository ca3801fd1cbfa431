"""A law that predicts the loss curve from the schedule: `fit_law` and its result."""
