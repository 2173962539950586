"""Networks that were trained elsewhere and are evaluated as they are."""
