"""The network MSCNN-LCE on stage maps: attention, label co-occurrence, fusion, losses."""
