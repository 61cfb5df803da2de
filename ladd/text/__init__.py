"""From documents to blocks of token ids, and back to text."""
