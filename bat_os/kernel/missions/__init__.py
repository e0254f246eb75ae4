"""Missions as tasks: queued, run, resumed, stopped, and due; and the events of them."""
