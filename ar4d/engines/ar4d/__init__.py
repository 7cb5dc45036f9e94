"""The three stages of the method, one file each. A stage takes values, yields events, returns values."""
