"""One photo's data made anew."""
