"""What a route may ask for around a call: a second try, a copy, a last resort; and identical calls in one."""
