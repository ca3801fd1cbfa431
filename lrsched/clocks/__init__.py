"""The state of schedules: clocks, and the functions that run them."""
