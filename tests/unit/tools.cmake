# Tests of broker/client and tools/bulkhead.
bulkhead_unit_test(client_test bulkhead-client)
if(TARGET bulkhead-cli)
  bulkhead_unit_test(cli_text_test bulkhead-cli)
  bulkhead_unit_test(cli_datum_test bulkhead-cli)
  bulkhead_unit_test(cli_command_line_test bulkhead-cli)
  bulkhead_unit_test(cli_completion_test bulkhead-cli)
  bulkhead_unit_test(cli_commands_test bulkhead-cli)
endif()
