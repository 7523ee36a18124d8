# The store: its rules, the embedded engine on real files, the actor around it, and the views.
bulkhead_unit_test(store_test bulkhead-store)
