"""Schedules as values: numbers, nodes, operators, shapes, recipes and batches."""
