"""Pictures and pages: one style for all that gdlightning shows."""
