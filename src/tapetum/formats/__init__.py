"""Bytes <-> model: what a file is (`sniff`), what is in it (`dicom`, `nifti`, `nrrd`, `picture`, `seg`, `rtstruct`)."""
