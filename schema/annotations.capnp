@0xe6513b6138bfdb02;
# Annotations of the Bulkhead contracts and of plugins' own typed interfaces.
#
# They are facts about a method or field that the broker, the command line and other tools act on. A plugin that carries none of
# them works; one that carries them is treated better (safe retries) and more safely (no secret in a log).
#
# Since protocol 1.

using Cxx = import "/capnp/c++.capnp";
$Cxx.namespace("bulkhead::schema");

annotation secret @0xf257a22f5b7b47c0 (field) :Void;
# The field's value is a secret. Tools never print it unless asked to by name, and nothing logs it.

annotation idempotent @0x8c244b4f377a7951 (method) :Void;
# Calling the method twice has the effect of calling it once, so whoever makes the call may repeat it after a lost answer.
# The broker itself repeats nothing.

annotation help @0xb443fd7a72c69a3e (method, field, struct, interface) :Text;
# One sentence, shown by `bulkhead describe` and by completion.
