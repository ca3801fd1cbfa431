"""Other frameworks' schedules under their own names and boundary rules, as compositions of ours."""
