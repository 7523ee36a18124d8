# The exported package: find_package(Bulkhead) in an outside project.
