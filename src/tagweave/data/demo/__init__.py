"""Embedded demo data: scenes drawn from the OpenMoji font, with VOC's 20 classes and their company."""

from tagweave.data.demo.album import DemoFiles, write_demo

__all__ = ["DemoFiles", "write_demo"]
