"""The feed-forward engine after 4DSTAR: codes of unseen views are predicted frame by frame and decoded."""
