"""What the services and the command share: one package, so that no generic name is installed."""

from mesh.core.privacy import forbid_reports

forbid_reports()
