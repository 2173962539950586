"""What a plan of runs will take, before anything is run."""
