// kafkajs against a broker: kafkajs.js BOOTSTRAP
// Topics, keyed batches with each codec it has, a group of two that reads all of them in order, offsets and admin calls.

const { Kafka, CompressionTypes, logLevel } = require('kafkajs')

const bootstrap = process.argv[2]
const topic = `kafkajs-${Date.now()}`
const COUNT = 2000
const kafka = new Kafka({ clientId: 'ottla-tests', brokers: [bootstrap], logLevel: logLevel.ERROR })

const assert = (condition, message) => { if (!condition) throw new Error(message) }

const admin = kafka.admin()
async function topics() {
  assert(await admin.createTopics({ topics: [{ topic, numPartitions: 3 }] }), 'the topic was there already')
  const described = await admin.fetchTopicMetadata({ topics: [topic] })
  assert(described.topics[0].partitions.length === 3, 'it has not three partitions')
  const configs = await admin.describeConfigs({ includeSynonyms: true, resources: [{ type: 2, name: topic }] })
  assert(configs.resources[0].configEntries.some((entry) => entry.configName === 'retention.ms'), 'no retention.ms')
}

async function produce() {
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (const [index, compression] of [CompressionTypes.None, CompressionTypes.GZIP].entries()) {
    const messages = Array.from({ length: COUNT / 2 }, (_, i) => (
      { key: `key-${i % 20}`, value: `${index}-${i}`, headers: { codec: String(compression) } }))
    await producer.send({ topic, compression, acks: -1, messages })
  }
  await producer.disconnect()
}

async function consume() {
  const seen = new Map()
  let count = 0
  const members = [0, 1].map(() => kafka.consumer({ groupId: topic }))
  await new Promise(async (resolve, reject) => {
    setTimeout(() => reject(new Error(`only ${count} records came`)), 40000).unref()
    for (const member of members) {
      await member.connect()
      await member.subscribe({ topics: [topic], fromBeginning: true })
    }
    for (const member of members) {
      // One after the other: kafkajs crashes when another member's join makes it assign topics it has not looked up yet.
      const joined = new Promise((done) => member.on(member.events.GROUP_JOIN, done))
      await member.run({
        eachMessage: async ({ message }) => {
          const key = message.key.toString()
          seen.set(key, [...(seen.get(key) || []), message.value.toString()])
          count += 1
          if (count === COUNT) resolve()
        },
      })
      await joined
    }
  })
  for (const member of members) await member.disconnect()
  const rank = (value) => { const [round, i] = value.split('-').map(Number); return round * COUNT + i }
  for (const [key, values] of seen) {
    assert(values.every((value, i) => i === 0 || rank(values[i - 1]) < rank(value)), `${key} is out of order`)
  }
}

async function offsets() {
  const committed = await admin.fetchOffsets({ groupId: topic, topics: [topic] })
  const sum = committed[0].partitions.reduce((total, { offset }) => total + Number(offset), 0)
  assert(sum === COUNT, `the group has committed ${sum} of ${COUNT}`)
  // Its own group is not deleted: kafkajs crashed members come back after a disconnect, with a real Kafka too.
  const other = `${topic}-other`
  await admin.setOffsets({ groupId: other, topic, partitions: [{ partition: 0, offset: '1' }] })
  await admin.deleteGroups([other])
  await admin.deleteTopics({ topics: [topic] })
}

async function main() {
  let passed = 0
  let failed = 0
  await admin.connect()
  for (const step of [topics, produce, consume, offsets]) {
    try {
      await step()
      passed += 1
      console.log(`ok   ${step.name}`)
    } catch (error) {
      failed += 1
      console.log(`FAIL ${step.name}: ${error.message} ${JSON.stringify(error.groups || "")}`)
      break
    }
  }
  await admin.disconnect()
  console.log(`${passed} passed, ${failed} failed`)
  process.exit(failed ? 1 : 0)
}

main()
