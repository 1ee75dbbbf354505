module walk

go 1.18
