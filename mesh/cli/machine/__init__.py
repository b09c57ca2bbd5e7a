"""What this machine is to run: its settings as plans of processes, and what must hold before they start."""
