"""What `immich-mesh doctor` looks at: one module per subject, each giving findings."""
