"""Many runs on many machines, by Ray."""
