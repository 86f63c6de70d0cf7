"""What a batch leaves to look at: one table and one page, made again from its folder at any time."""
