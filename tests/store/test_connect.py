from linkgate.store.connect import Connection, Script

INCREMENT = Script("increment", "return redis.call('INCRBY', KEYS[1], ARGV[1])")


async def test_it_runs_a_script(connection: Connection) -> None:
    assert await connection.script(INCREMENT, ["{a}:n"], [2]) == 2
    assert await connection.script(INCREMENT, ["{a}:n"], [3]) == 5


async def test_it_runs_a_script_that_the_server_forgot(connection: Connection) -> None:
    await connection.script(INCREMENT, ["{a}:n"], [1])
    await connection.client.script_flush()
    assert await connection.script(INCREMENT, ["{a}:n"], [1]) == 2
