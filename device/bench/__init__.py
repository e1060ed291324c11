"""Measuring wakeline on the machine it runs on: `wakeline bench`."""
