module zkmini

go 1.19
