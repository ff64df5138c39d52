"""Point clouds: files and folders of them, poses, voxels, and a simulated lidar."""
