"""Runs on the devices of a Ray cluster: one actor a device, each run's folder fetched as it grows."""

from ar4d.cluster.connection import Cluster, connect
from ar4d.cluster.device import Device, DeviceLost, Result

__all__ = ["Cluster", "Device", "DeviceLost", "Result", "connect"]
