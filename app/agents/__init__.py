"""AutoGen: which agents there are, their models, one conversation, its messages as events. Knows AutoGen, alone."""
