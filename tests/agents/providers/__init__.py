"""Tests of the model clients, against fakes that speak each wire."""
