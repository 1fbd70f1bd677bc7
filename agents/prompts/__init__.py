"""What an agent reads: its Markdown file, the contract, and the evidence packed to a budget."""
