"""Schedules as text, JSON, formulas, tables and pictures."""

# Imported because they register how nodes print, and what notebooks show.
import lrsched.views.display
import lrsched.views.text
