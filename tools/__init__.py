"""Programs for those who build wakeline; not installed on the device."""
