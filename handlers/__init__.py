"""What the assistant can do. Each module: verbs, then conversation, then its ROUTES."""
