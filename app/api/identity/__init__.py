"""Who asks, and what they may: API keys, OIDC tokens, and the gate that every request passes."""
