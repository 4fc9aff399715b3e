"""The commands of `fauxscan models`, for what lies on this machine."""
