"""Schedules as text, JSON, formulas, tables and pictures."""
