"""The browser application. It knows ar4d; ar4d never knows it."""
