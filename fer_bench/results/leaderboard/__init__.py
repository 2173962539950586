"""Which runs may be ranked together, what stands in front, and what others published."""
